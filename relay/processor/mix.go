package processor

// mixing is a conference's mixed audio.
type mixing struct{ changed bool }

func (x *mixing) assign(c *conference)               {}
func (x *mixing) remove(l *leg)                      {}
func (x *mixing) tick(c *conference)                 {}
func (x *mixing) take(t *track, y *layer, p *packet) {}
