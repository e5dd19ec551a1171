package chat_test

func writing() bool { return false }
