package turn

// Password is the right password of any username, well-formed or not.
func Password(secret []byte, username string) string { return passwordOf(secret, username) }
