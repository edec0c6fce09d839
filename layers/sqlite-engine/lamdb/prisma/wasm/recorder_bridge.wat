;; The half of the recorder that reads the compiler's own memory and table of references (see recorder.wat).
(module
  (import "compiler" "memory" (memory $compiler 1))
  (import "recorder" "log" (memory $log 1))
  (import "compiler" "refs" (table $refs 1 externref))
  (import "recorder" "end" (global $end (mut i32)))
  (import "recorder" "reserve" (func $reserve (param i32)))
  (import "recorder" "new_string_handle" (func $new_string_handle (result externref)))
  (import "recorder" "bridge" (table $bridge 1 funcref))

  ;; Operation 7: copy a string from the compiler's memory into the log, padded to whole words.
  (func $string (param $pointer i32) (param $length i32) (result externref)
    (call $reserve (i32.add (local.get $length) (i32.const 16)))
    (i32.store $log (global.get $end) (i32.const 7))
    (i32.store $log offset=4 (global.get $end) (local.get $length))
    (memory.copy $log $compiler
      (i32.add (global.get $end) (i32.const 8)) (local.get $pointer) (local.get $length))
    (global.set $end
      (i32.add (global.get $end)
        (i32.add (i32.const 8) (i32.and (i32.add (local.get $length) (i32.const 3)) (i32.const -4)))))
    (call $new_string_handle))
  (elem declare func $string)

  ;; Give the recorder its `string`.
  (func (export "connect")
    (table.set $bridge (i32.const 0) (ref.func $string)))

  ;; Replace the constants in the compiler's table by handles: undefined in slot 0, and undefined, null, true and false
  ;; from slot `$first` on.
  (func (export "replace_constants") (param $first i32)
    (local $offset i32)
    (table.set $refs (i32.const 0) (extern.convert_any (ref.i31 (i32.const 0))))
    (loop $next
      (table.set $refs
        (i32.add (local.get $first) (local.get $offset))
        (extern.convert_any (ref.i31 (i32.shl (local.get $offset) (i32.const 2)))))
      (local.set $offset (i32.add (local.get $offset) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $offset) (i32.const 4)))))

  ;; The handle in a slot, or -1 if a Python value is there.
  (func $handle_at (export "handle_at") (param $slot i32) (result i32)
    (local $any anyref)
    (local.set $any (any.convert_extern (table.get $refs (local.get $slot))))
    (if (result i32) (ref.test (ref i31) (local.get $any))
      (then (i31.get_u (ref.cast (ref i31) (local.get $any))))
      (else (i32.const -1))))

  ;; Write the handles of all strings that the compiler still holds after the end of the log: how many. It keeps the
  ;; names of fields, so that later compilations use handles of earlier ones.
  (func (export "list_strings") (result i32)
    (local $slot i32) (local $slots i32) (local $handle i32) (local $count i32)
    (local.set $slots (table.size $refs))
    (call $reserve (i32.mul (local.get $slots) (i32.const 4)))
    (loop $next
      (local.set $handle (call $handle_at (local.get $slot)))
      (if (i32.and
            (i32.ne (local.get $handle) (i32.const -1))
            (i32.eq (i32.and (local.get $handle) (i32.const 3)) (i32.const 1)))
        (then
          (i32.store $log
            (i32.add (global.get $end) (i32.mul (local.get $count) (i32.const 4)))
            (local.get $handle))
          (local.set $count (i32.add (local.get $count) (i32.const 1)))))
      (local.set $slot (i32.add (local.get $slot) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $slot) (local.get $slots))))
    (local.get $count)))
