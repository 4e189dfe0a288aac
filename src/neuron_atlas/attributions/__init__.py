"""Stage `attributions`: integrated gradients of answers with respect to neurons."""
