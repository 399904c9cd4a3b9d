// What a thread can be asked to do. The first argument of each is the thread's own scratch memory; the others say where in the shared memory
// a job keeps what it works on. Threads may work on one job at a time as long as they write to different places.
export { arena, init } from './field'
export { extend, locate, recover } from './code'
export { leaves, rowLeaves, tree, walk } from './hash'
export { coefficients, combine, compare, toRows } from './combination'
