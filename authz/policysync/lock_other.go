//go:build !unix

package policysync

import (
	"errors"
	"os"
)

// tryLock refuses: without locks that end with their process, two publishers could replace
// each other's head unseen.
func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }
