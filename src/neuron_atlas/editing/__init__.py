"""Stage `editing`: facts changed through the value vectors of neurons."""
