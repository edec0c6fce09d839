"""Prisma's engines as WebAssembly: their build, their hosts, and running them in wasmtime."""
