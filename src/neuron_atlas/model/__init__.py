"""Language models: loading them, reading text with them, hooking their neurons."""
