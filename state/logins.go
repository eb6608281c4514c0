package state

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
)

const loginsFile = "logins.json"

// Password returns the password that silo gives to a user of this instance. It is
// created with the first call, and readable only by the owner of the directory.
func (d *Dir) Password(username string) (string, error) {
	logins, err := d.logins()
	if err != nil || logins[username] != "" {
		return logins[username], err
	}
	password := rand.Text()
	return password, d.SetPassword(username, password)
}

// SetPassword replaces the password that Password returns for a user.
func (d *Dir) SetPassword(username, password string) error {
	logins, err := d.logins()
	if err != nil {
		return err
	}
	logins[username] = password
	return d.saveJSON(loginsFile, logins)
}

// logins returns the passwords by user.
func (d *Dir) logins() (map[string]string, error) {
	logins := map[string]string{}
	if err := d.loadJSON(loginsFile, &logins); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w (remove the file to create new passwords)", err)
	}
	return logins, nil
}
