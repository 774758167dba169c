package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/podreload/podreload/daemonset"
)

// version of the file format. It goes up when an older podreload would
// misunderstand a file.
const version = 1

var (
	// ErrDamaged says that a state file is not what podreload wrote.
	ErrDamaged = errors.New("damaged state file: remove it, the next apply writes it anew")

	// ErrNewer says that a newer podreload wrote a state file.
	ErrNewer = errors.New("state file of a newer podreload: use that one, or remove the file to apply anew")
)

// document is a status as it is written.
type document struct {
	Version int `json:"version"`
	daemonset.Status
}

func encode(status daemonset.Status) ([]byte, error) {
	data, err := json.Marshal(document{Version: version, Status: status})
	if err != nil {
		return nil, err
	}
	if len(data) >= maxStatus {
		return nil, fmt.Errorf("%d bytes: more than %d", len(data), maxStatus)
	}
	return append(data, '\n'), nil
}

func decode(data []byte) (daemonset.Status, error) {
	if len(data) > maxStatus {
		return daemonset.Status{}, fmt.Errorf("%w: longer than %d bytes", ErrDamaged, maxStatus)
	}
	// The version first: what a newer one added would not pass below.
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return daemonset.Status{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	switch {
	case head.Version > version:
		return daemonset.Status{}, fmt.Errorf("%w: version %d, this one knows %d", ErrNewer, head.Version, version)
	case head.Version < 1:
		return daemonset.Status{}, fmt.Errorf("%w: version %d", ErrDamaged, head.Version)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var d document
	if err := decoder.Decode(&d); err != nil {
		return daemonset.Status{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return daemonset.Status{}, fmt.Errorf("%w: it goes on after its end", ErrDamaged)
	}
	return d.Status, nil
}
