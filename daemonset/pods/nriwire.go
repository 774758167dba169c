package pods

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"
)

// eventStart is NRI's number for a container that is about to start.
const eventStart = 6

// message is a message whose fields are those given: one of no fields keeps what it
// does not know, and hands it on.
func message(fields []byte) *emptypb.Empty {
	m := &emptypb.Empty{}
	m.ProtoReflect().SetUnknown(fields)
	return m
}

func appendText(b []byte, n protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), s)
}

func appendNumber(b []byte, n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}

// field is the last field of that number that is bytes, as protobuf has it; nil if there
// is none, or what is left makes no sense.
func field(b []byte, n protowire.Number) (value []byte) {
	each(b, func(num protowire.Number, kind protowire.Type, rest []byte) {
		if num == n && kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(rest)
		}
	})
	return value
}

// number is the same of a field that is a number.
func number(b []byte, n protowire.Number) (value uint64) {
	each(b, func(num protowire.Number, kind protowire.Type, rest []byte) {
		if num == n && kind == protowire.VarintType {
			value, _ = protowire.ConsumeVarint(rest)
		}
	})
	return value
}

// each calls f with what follows the tag of each field that is whole.
func each(b []byte, f func(protowire.Number, protowire.Type, []byte)) {
	for len(b) > 0 {
		n, kind, tag := protowire.ConsumeTag(b)
		if tag < 0 {
			return
		}
		size := protowire.ConsumeFieldValue(n, kind, b[tag:])
		if size < 0 {
			return
		}
		f(n, kind, b[tag:tag+size])
		b = b[tag+size:]
	}
}
