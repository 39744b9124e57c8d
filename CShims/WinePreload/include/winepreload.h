/* libntlpc-wine.so is loaded by LD_PRELOAD and has no interface for programs: this header only names its environment.
 *
 *   NTLPC_DISABLE=1     the library does nothing at all
 *   NTLPC_TRACE=wine    one line on stderr when the calls have been installed, and one when they could not be (a list
 *                       separated by commas; "all" stands for everything)
 *
 * libntlpc.so is looked for in the directory of this library. */
#ifndef NTLPC_WINEPRELOAD_H
#define NTLPC_WINEPRELOAD_H
#define NTLPC_WINE_LIBRARY "libntlpc-wine.so"
#endif
