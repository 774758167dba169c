package shim

// Serve is Run on bytes: what package nsenter/inside calls in the container.
func Serve(root Root, request []byte, signal func(sig int) error) []byte {
	var res Result
	if req, err := DecodeRequest(request); err != nil {
		res.Error = &Error{Step: StepDecode, Message: err.Error()}
	} else {
		res = Run(root, req, signal)
	}
	b, err := res.Encode()
	if err != nil {
		for i := range res.Files {
			res.Files[i].Data = nil
		}
		if res.Error == nil {
			res.Error = &Error{Step: StepLook, Message: err.Error()}
		}
		b, _ = res.Encode()
	}
	return b
}
