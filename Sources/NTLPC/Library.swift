// The shared library libntlpc.so and nothing else: the linker's flags sit on this target, because they would travel to everything
// that depends on it. What the library exports is listed in CShims/CMSABIThunks/ntlpc.map.

import NTExports
