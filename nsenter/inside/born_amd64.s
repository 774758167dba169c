#include "textflag.h"

#define clone 56
#define exit_group 231
#define ppoll 271
#define pidfd_send_signal 424

// func signalByChild(flags, signal uintptr)
TEXT ·signalByChild(SB), NOSPLIT, $0-16
	MOVQ flags+0(FP), DI
	MOVQ signal+8(FP), R12
	XORL SI, SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	MOVL $clone, AX
	SYSCALL
	XORL DI, DI
	XORL SI, SI
	XORL DX, DX
	XORL R10, R10
	TESTQ AX, AX
	JLT end
	JEQ child
wait:
	MOVL $ppoll, AX
	SYSCALL
	JMP wait
child:
	MOVQ R12, SI
	MOVL $pidfd_send_signal, AX
	SYSCALL
end:
	NEGQ AX
	MOVQ AX, DI
	MOVL $exit_group, AX
	SYSCALL
	INT $3
