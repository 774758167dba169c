#include "textflag.h"

#define clone 220
#define exit_group 94
#define ppoll 73
#define pidfd_send_signal 424

// func signalByChild(flags, signal uintptr)
TEXT ·signalByChild(SB), NOSPLIT, $0-16
	MOVD flags+0(FP), R0
	MOVD signal+8(FP), R9
	MOVD $0, R1
	MOVD $0, R2
	MOVD $0, R3
	MOVD $0, R4
	MOVD $clone, R8
	SVC
	CMP $0, R0
	BLT end
	BEQ child
wait:
	MOVD $0, R0
	MOVD $0, R1
	MOVD $0, R2
	MOVD $0, R3
	MOVD $ppoll, R8
	SVC
	B wait
child:
	MOVD $0, R0
	MOVD R9, R1
	MOVD $pidfd_send_signal, R8
	SVC
end:
	NEG R0, R0
	MOVD $exit_group, R8
	SVC
	UNDEF
