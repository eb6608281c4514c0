package proc

// ForgetPages does nothing: macOS takes back what is mapped of a file when it is
// short of memory, and does not count it as the program's own.
func ForgetPages() {}
