"""Read the text files that people bring; an error is one line that names the file and the line."""
