// RUN: { ! cimc opt %s --data %data; } 2>&1 | filecheck %s
// What the text says of an array is held against the array; verifiers are tested in tests/ir/cim.
// CHECK: cim.shards says that @t.blocks is [17, 4] with digest 0123456789abcdef, the array of that name is [2, 4]
// CHECK-SAME: [ir.other-data]
// DATA: t.blocks int32 [2, 4] 0
cim.table "t" rows 8500 cols 4 bits 8 data @t.int scales @t.scales
cim.shards @t slices 2 blocks <@t.blocks [17, 4] digest "0123456789abcdef" {"512x4": 16, "308x4": 1}>
