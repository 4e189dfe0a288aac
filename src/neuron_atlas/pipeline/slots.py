"""The placeholders of subject and object in a template; `{object}` also in an encoder's prompt."""

SUBJECT, OBJECT = "{subject}", "{object}"
