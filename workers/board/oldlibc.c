#include "workers/board/oldlibc.h"

#ifdef BOARD_OLD_LIBC
/* crt1.o calls __libc_start_main(); the linker's --wrap brings it here, and we go on to the old
 * one. What is lost: constructors of the program itself, which the old one leaves to code that
 * crt1.o has no more. There are none, and the test of symbols would see them. */
typedef int main_function(int, char **, char **);

int __libc_start_main(main_function *program, int argc, char **argv, void (*init)(void),
		      void (*fini)(void), void (*rtld_fini)(void), void *stack_end);
int __wrap___libc_start_main(main_function *program, int argc, char **argv, void (*init)(void),
			     void (*fini)(void), void (*rtld_fini)(void), void *stack_end);
int old_start(main_function *program, int argc, char **argv, void (*init)(void), void (*fini)(void),
	      void (*rtld_fini)(void), void *stack_end);
__asm__(".symver old_start, __libc_start_main@" OLD_VERSION);

int __wrap___libc_start_main(main_function *program, int argc, char **argv, void (*init)(void),
			     void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
	return old_start(program, argc, argv, init, fini, rtld_fini, stack_end);
}
#endif
