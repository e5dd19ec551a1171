package policy

// scopeOf turns scopes around.
func scopeOf(value string) string {
	for scope, v := range scopes {
		if string(v) == value {
			return string(scope)
		}
	}
	return ""
}

// Merge changes the options that a JSON object names, and leaves the others.
// AutoAdmittedUsers and AllowPSTNUsersToBypassLobby are taken as
// lobbyBypassSettings.scope and .isDialInBypassEnabled. The error is an *Error, and
// changes nothing.
func (o *Options) Merge(data []byte) error {
	given, err := options.members(data)
	if err != nil {
		return err
	}
	out, seen := *o, map[string]bool{}
	for _, m := range given {
		if m, err = asOption(m); err != nil {
			return err
		}
		if seen[m.name] {
			return &Error{Object: options.object, Name: m.name, Problem: "stands twice, under two names"}
		}
		seen[m.name] = true
		p, err := options.row(m.name)
		if err != nil {
			return err
		}
		text, err := options.text(p, m.value)
		if err != nil {
			return err
		}
		if err := options.set(&out, m.name, text); err != nil {
			return err
		}
	}
	*o = out
	return nil
}

// asOption is a member under the option's own name and value. Two policies are
// defaults for an option of the same values, so that who schedules a meeting may write
// either name; the other defaults have values of their own.
func asOption(m member) (member, error) {
	switch m.name {
	case rulePhoneBypass:
		m.name = optionPhone
	case ruleLobby:
		p, err := policies.row(ruleLobby)
		if err != nil {
			return m, err
		}
		text, err := policies.text(p, m.value)
		if err == nil {
			err = policies.check(p, []string{text})
		}
		if err != nil {
			return m, err
		}
		m.name, m.value = optionScope, scopeOf(text)
	}
	return m, nil
}
