package turn

// Password is the right password of any username, well-formed or not.
func Password(secret []byte, username string) string { return passwordOf(secret, username) }

// Forwarded is how many payloads the core has forwarded.
func (s *Server) Forwarded() uint64 { return s.forwarded().Packets }
