package logs

import "slices"

// shift frees number 0 and keeps at most keep files.
//
// It moves pairs, a raw file and then its sidecar, starting with the oldest. If it is
// interrupted, at most one raw file has moved without its sidecar, whose new name is
// then free: repair completes the move, and readers handle it.
func (f files) shift(keep int) error {
	if err := f.repair(keep); err != nil {
		return err
	}
	for _, n := range slices.Backward(f.rawNumbers()) {
		var err error
		if n >= keep-1 {
			err = f.drop(n)
		} else {
			err = f.renumber(n, n+1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f files) renumber(from, to int) error {
	if err := rename(f.raw(from), f.raw(to)); err != nil {
		return err
	}
	return rename(f.times(from), f.times(to))
}

func (f files) drop(n int) error {
	if err := remove(f.raw(n)); err != nil {
		return err
	}
	return remove(f.times(n))
}

// repair completes an interrupted rotation: it moves sidecars to their raw files,
// closes gaps in the numbers and drops files beyond keep.
func (f files) repair(keep int) error {
	if err := f.repairTimes(); err != nil {
		return err
	}
	next := 1
	for _, n := range f.rawNumbers() {
		var err error
		switch {
		case n == 0:
			continue
		case next >= keep:
			err = f.drop(n)
		case n != next:
			err = f.renumber(n, next)
		}
		if err != nil {
			return err
		}
		next++
	}
	return nil
}

func (f files) repairTimes() error {
	for _, n := range slices.Backward(f.timesNumbers()) {
		if exists(f.raw(n)) {
			continue
		}
		var err error
		if exists(f.raw(n+1)) && !exists(f.times(n+1)) {
			err = rename(f.times(n), f.times(n+1))
		} else {
			err = remove(f.times(n))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
