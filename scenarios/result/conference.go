package result

// Meeting is one meeting or group call of a run.
type Meeting struct {
	// Name is the scenario's, ID the controller's.
	Name string `json:"name"`
	Kind string `json:"kind"` // meeting or group
	ID   string `json:"id"`
	// Region is where its media was hosted first; empty when nobody got in.
	Region string `json:"region,omitempty"`
	// People are those who asked to get in, in the order of their coming.
	People []Attendance `json:"people"`
	// Denied are acts that the controller refused.
	Denied []Denial `json:"denied,omitempty"`
}

// Attendance is the course of one person through a meeting, until the steps end.
type Attendance struct {
	Person string `json:"person"`
	Stays  []Stay `json:"stays"`
}

// Stay is one place in a course.
type Stay struct {
	At Duration `json:"at"`
	// Place is one of the Stay words of package language: present, lobby, refused
	// and so on.
	Place string `json:"place"`
	// Rule is what decided, with its value; By who did it, when a person did.
	Rule  string `json:"rule,omitempty"`
	Value string `json:"value,omitempty"`
	By    string `json:"by,omitempty"`
}

// Denial is an act that the controller refused.
type Denial struct {
	// Act is the scenario's step, for example "admit".
	Act    string `json:"act"`
	By     string `json:"by"`
	Rule   string `json:"rule,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Text is the act as expectations have it, for example "admit by bob".
func (d Denial) Text() string { return d.Act + " by " + d.By }

// Message is one message of a chat.
type Message struct {
	Name    string   `json:"name"`
	Meeting string   `json:"meeting"`
	From    string   `json:"from"`
	At      Duration `json:"at"`
	// Outcome is one of the Message words of package language: what became of it
	// last.
	Outcome string `json:"outcome"`
	Rule    string `json:"rule,omitempty"`
	// To are those whose client got it, sorted, and Text what they read last.
	To   []string `json:"to"`
	Text string   `json:"text,omitempty"`
}

// Processor is one media processor's own view, and what the network saw of it.
type Processor struct {
	Host   string `json:"host"`
	Region string `json:"region,omitempty"`
	// Joins counts the offers that it answered.
	Joins int `json:"joins"`
	// PacketsIn and PacketsOut count media, by the processor's statistics.
	PacketsIn  uint64 `json:"packets_in"`
	PacketsOut uint64 `json:"packets_out"`
	// TURN counts packets of TURN that it sent to, or got from, a relay as a client
	// does: it has no need of one.
	TURN uint64 `json:"turn"`
}

// Lobby is what packets and clients say of those who waited in a lobby.
type Lobby struct {
	// Waited are those who were in a lobby at any time, sorted.
	Waited []string `json:"waited"`
	// Media counts the packets of DTLS, SRTP and SRTCP that reached or left their
	// hosts meanwhile, Messages those of a chat that reached their client or were
	// taken from it.
	Media    uint64 `json:"media"`
	Messages int    `json:"messages"`
}
