/* workers/board/oldlibc.h -- the dynamic loader's calls in the versions that every glibc of a board
 * has. A program that is linked on a new Debian asks for dlopen@GLIBC_2.34 and does not start on
 * Debian 11 or Ubuntu 20.04, where most vendors' images are. docs/adr/0020 has the whole story. */
#ifndef QUERN_WORKERS_BOARD_OLDLIBC_H
#define QUERN_WORKERS_BOARD_OLDLIBC_H

#include <dlfcn.h>

#ifdef BOARD_OLD_LIBC
#if defined(__aarch64__)
#define OLD_VERSION "GLIBC_2.17" /* the first glibc of the architecture */
#elif defined(__x86_64__)
#define OLD_VERSION "GLIBC_2.2.5"
#else
#error "which is the oldest version of glibc's symbols here?"
#endif
#define OLD(name) __asm__(".symver " #name ", " #name "@" OLD_VERSION)
OLD(dlopen);
OLD(dlsym);
OLD(dlerror);
#endif

#endif
