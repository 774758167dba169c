package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// version of a record's format. It goes up when an older podreload would
// misunderstand a file, as the other documents' versions do.
const version = 2

var (
	// ErrDamaged says that a state file is not what podreload wrote.
	ErrDamaged = errors.New("damaged state file: remove it, the next apply writes it anew")

	// ErrNewer says that a newer podreload wrote a state file.
	ErrNewer = errors.New("state file of a newer podreload: use that one, or remove the file to apply anew")
)

var errTooLong = errors.New("too long to be kept")

// document is a record as it is written.
type document struct {
	Version int `json:"version"`
	Record
}

func encode(record Record) ([]byte, error) {
	return encodeJSON(document{Version: version, Record: record})
}

func decode(data []byte) (Record, error) {
	var d document
	err := decodeJSON(data, version, &d)
	return d.Record, err
}

// encodeJSON writes a document, which is to hold its version.
func encodeJSON(document any) ([]byte, error) {
	data, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	if len(data) >= maxStatus {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", errTooLong, len(data), maxStatus)
	}
	return append(data, '\n'), nil
}

// decodeJSON reads a document of a version that is known, strictly.
func decodeJSON(data []byte, version int, document any) error {
	if len(data) > maxStatus {
		return fmt.Errorf("%w: longer than %d bytes", ErrDamaged, maxStatus)
	}
	// The version first: what a newer one added would not pass below.
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	switch {
	case head.Version > version:
		return fmt.Errorf("%w: version %d, this one knows %d", ErrNewer, head.Version, version)
	case head.Version < 1:
		return fmt.Errorf("%w: version %d", ErrDamaged, head.Version)
	}
	return decodeStrictly(data, document)
}

func decodeStrictly(data []byte, document any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(document); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it goes on after its end", ErrDamaged)
	}
	return nil
}
