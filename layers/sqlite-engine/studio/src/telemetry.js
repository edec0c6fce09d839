// Evaluated before Prisma's Studio: no event is sent to its makers.
globalThis.__env__ = { ...globalThis.__env__, CHECKPOINT_DISABLE: "1" };
