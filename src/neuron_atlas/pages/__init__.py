"""What all HTML pages share: the shell with its content security policy, formats and charts."""
