// Compiles the kernels in codec/assembly to codec/build; does nothing when the sources have not changed.
