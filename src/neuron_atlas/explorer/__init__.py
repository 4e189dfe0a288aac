"""The page's explorer of neurons: packs the cards' tables, and holds the scripts that show them."""
