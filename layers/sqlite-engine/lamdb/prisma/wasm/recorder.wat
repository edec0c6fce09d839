;; The recorder: the query compiler's callbacks, without Python.
;;
;; The compiler builds its answer by calling JavaScript some hundred times: "new object", "this string", "set this key of
;; that object". Here those calls append to a log, which Python decodes once per compilation (see recorder.py).
;;
;; A JavaScript value is represented by a handle, boxed as an i31 reference: id << 2 | tag, tag 1 for strings and 0 for
;; the rest. Ids 0 to 3 are undefined, null, true and false; the others count upwards in the order of the log.
;;
;; The log is a run of 32-bit words, each entry an operation followed by its operands:
;;   1                     new object or map           -> next id
;;   2                     new array                   -> next id
;;   3 target key value    target[key] = value
;;   4 target index value  target[index] = value
;;   5 low high            a number, as an f64         -> next id
;;   6 low high            a BigInt, signed            -> next id
;;   7 length bytes...     a string, padded to words   -> next id (written by recorder_bridge.wat)
;;   8 low high            a BigInt, unsigned          -> next id
;;
;; While `recording` is 0 every call goes to the Python host functions, for the compiler's constructor reads real values.
(module
  (type $string_type (func (param i32 i32) (result externref)))

  (import "host" "string" (func $host_string (param i32 i32) (result externref)))
  (import "host" "new_object" (func $host_new_object (result externref)))
  (import "host" "new_array" (func $host_new_array (result externref)))
  (import "host" "new_map" (func $host_new_map (result externref)))
  (import "host" "set_by_key" (func $host_set_by_key (param externref externref externref)))
  (import "host" "set_by_index" (func $host_set_by_index (param externref i32 externref)))
  (import "host" "map_set" (func $host_map_set (param externref externref externref) (result externref)))
  (import "host" "number" (func $host_number (param f64) (result externref)))
  (import "host" "bigint_i64" (func $host_bigint_i64 (param i64) (result externref)))
  (import "host" "bigint_u64" (func $host_bigint_u64 (param i64) (result externref)))
  (import "host" "is_string" (func $host_is_string (param externref) (result i32)))

  (memory (export "log") 16)
  ;; Slot 0: the bridge's `string`, which needs the compiler's memory and so is instantiated after this module.
  (table (export "bridge") 1 funcref)
  (global $recording (export "recording") (mut i32) (i32.const 0))
  (global $end (export "end") (mut i32) (i32.const 0))
  (global $next_id (export "next_id") (mut i32) (i32.const 4))

  ;; Make room for `$bytes` more at the end of the log.
  (func $reserve (export "reserve") (param $bytes i32)
    (local $missing i32)
    (local.set $missing
      (i32.sub
        (i32.add (i32.add (global.get $end) (local.get $bytes)) (i32.const 64))
        (i32.mul (memory.size) (i32.const 65536))))
    (if (i32.gt_s (local.get $missing) (i32.const 0))
      (then
        (if (i32.eq
              (memory.grow (i32.add (i32.div_u (local.get $missing) (i32.const 65536)) (i32.const 16)))
              (i32.const -1))
          (then unreachable)))))

  (func $write_word (param $word i32)
    (i32.store (global.get $end) (local.get $word))
    (global.set $end (i32.add (global.get $end) (i32.const 4))))

  (func $write_assignment (param $operation i32) (param $target i32) (param $place i32) (param $value i32)
    (call $reserve (i32.const 16))
    (call $write_word (local.get $operation))
    (call $write_word (local.get $target))
    (call $write_word (local.get $place))
    (call $write_word (local.get $value)))

  (func $write_i64 (param $operation i32) (param $value i64)
    (call $reserve (i32.const 12))
    (call $write_word (local.get $operation))
    (i64.store (global.get $end) (local.get $value))
    (global.set $end (i32.add (global.get $end) (i32.const 8))))

  (func $new_handle (param $tag i32) (result externref)
    (local $handle i32)
    (local.set $handle (i32.or (i32.shl (global.get $next_id) (i32.const 2)) (local.get $tag)))
    (global.set $next_id (i32.add (global.get $next_id) (i32.const 1)))
    (extern.convert_any (ref.i31 (local.get $handle))))

  ;; The handle in a reference, or -1 if it is a Python value.
  (func $handle_of (param $value externref) (result i32)
    (local $any anyref)
    (local.set $any (any.convert_extern (local.get $value)))
    (if (result i32) (ref.test (ref i31) (local.get $any))
      (then (i31.get_u (ref.cast (ref i31) (local.get $any))))
      (else (i32.const -1))))

  (func $write_new (param $operation i32) (result externref)
    (call $reserve (i32.const 4))
    (call $write_word (local.get $operation))
    (call $new_handle (i32.const 0)))

  (func (export "new_object") (result externref)
    (if (i32.eqz (global.get $recording)) (then (return (call $host_new_object))))
    (call $write_new (i32.const 1)))

  (func (export "new_map") (result externref)
    (if (i32.eqz (global.get $recording)) (then (return (call $host_new_map))))
    (call $write_new (i32.const 1)))

  (func (export "new_array") (result externref)
    (if (i32.eqz (global.get $recording)) (then (return (call $host_new_array))))
    (call $write_new (i32.const 2)))

  (func (export "set_by_key") (param $target externref) (param $key externref) (param $value externref)
    (if (i32.eqz (global.get $recording))
      (then (call $host_set_by_key (local.get $target) (local.get $key) (local.get $value)) (return)))
    (call $write_assignment
      (i32.const 3)
      (call $handle_of (local.get $target)) (call $handle_of (local.get $key)) (call $handle_of (local.get $value))))

  (func (export "map_set") (param $target externref) (param $key externref) (param $value externref) (result externref)
    (if (i32.eqz (global.get $recording))
      (then (return (call $host_map_set (local.get $target) (local.get $key) (local.get $value)))))
    (call $write_assignment
      (i32.const 3)
      (call $handle_of (local.get $target)) (call $handle_of (local.get $key)) (call $handle_of (local.get $value)))
    (local.get $target))

  (func (export "set_by_index") (param $target externref) (param $index i32) (param $value externref)
    (if (i32.eqz (global.get $recording))
      (then (call $host_set_by_index (local.get $target) (local.get $index) (local.get $value)) (return)))
    (call $write_assignment
      (i32.const 4)
      (call $handle_of (local.get $target)) (local.get $index) (call $handle_of (local.get $value))))

  (func (export "number") (param $value f64) (result externref)
    (if (i32.eqz (global.get $recording)) (then (return (call $host_number (local.get $value)))))
    (call $write_i64 (i32.const 5) (i64.reinterpret_f64 (local.get $value)))
    (call $new_handle (i32.const 0)))

  (func (export "bigint_i64") (param $value i64) (result externref)
    (if (i32.eqz (global.get $recording)) (then (return (call $host_bigint_i64 (local.get $value)))))
    (call $write_i64 (i32.const 6) (local.get $value))
    (call $new_handle (i32.const 0)))

  (func (export "bigint_u64") (param $value i64) (result externref)
    (if (i32.eqz (global.get $recording)) (then (return (call $host_bigint_u64 (local.get $value)))))
    (call $write_i64 (i32.const 8) (local.get $value))
    (call $new_handle (i32.const 0)))

  (func (export "is_string") (param $value externref) (result i32)
    (if (i32.eqz (global.get $recording)) (then (return (call $host_is_string (local.get $value)))))
    (i32.eq (i32.and (call $handle_of (local.get $value)) (i32.const 3)) (i32.const 1)))

  (func (export "string") (param $pointer i32) (param $length i32) (result externref)
    (if (i32.eqz (global.get $recording))
      (then (return (call $host_string (local.get $pointer) (local.get $length)))))
    (call_indirect (type $string_type) (local.get $pointer) (local.get $length) (i32.const 0)))

  (func (export "new_string_handle") (result externref)
    (call $new_handle (i32.const 1))))
