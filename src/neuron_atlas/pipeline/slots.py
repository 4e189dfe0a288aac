"""Where subject and object stand in a template; in an encoder's prompt, where the answer does."""

SUBJECT, OBJECT = "{subject}", "{object}"
