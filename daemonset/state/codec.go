package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// version of the file format. It goes up when an older podreload would
// misunderstand a file.
const version = 2

var (
	// ErrDamaged says that a state file is not what podreload wrote.
	ErrDamaged = errors.New("damaged state file: remove it, the next apply writes it anew")

	// ErrNewer says that a newer podreload wrote a state file.
	ErrNewer = errors.New("state file of a newer podreload: use that one, or remove the file to apply anew")
)

// document is a record as it is written.
type document struct {
	Version int `json:"version"`
	Record
}

func encode(record Record) ([]byte, error) {
	data, err := json.Marshal(document{Version: version, Record: record})
	if err != nil {
		return nil, err
	}
	if len(data) >= maxStatus {
		return nil, fmt.Errorf("%d bytes: more than %d", len(data), maxStatus)
	}
	return append(data, '\n'), nil
}

func decode(data []byte) (Record, error) {
	if len(data) > maxStatus {
		return Record{}, fmt.Errorf("%w: longer than %d bytes", ErrDamaged, maxStatus)
	}
	// The version first: what a newer one added would not pass below.
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	switch {
	case head.Version > version:
		return Record{}, fmt.Errorf("%w: version %d, this one knows %d", ErrNewer, head.Version, version)
	case head.Version < 1:
		return Record{}, fmt.Errorf("%w: version %d", ErrDamaged, head.Version)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var d document
	if err := decoder.Decode(&d); err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Record{}, fmt.Errorf("%w: it goes on after its end", ErrDamaged)
	}
	return d.Record, nil
}
