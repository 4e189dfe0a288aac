"""Stage `language_specific`: neurons that are active in one language, and what it loses by them."""
