// RUN: { ! cimc opt %s -p shard --target tsinghua28; } 2>&1 | filecheck %s
// CHECK: rec.linear works on floats, which pass 'quantize' turns into integers [pass.needs-quantize]
func.func @main(%x: tensor<?x3xf32>) -> tensor<?x2xf32> attributes {onnx.inputs = ["x"], onnx.outputs = ["y"]} {
  %y = rec.linear %x weight @w units 2 : tensor<?x3xf32> -> tensor<?x2xf32>
  func.return %y : tensor<?x2xf32>
}
// -----
// RUN: { ! cimc opt %s -p shard --target tsinghua28; } 2>&1 | filecheck %s
// CHECK: matrix @t has its cim.shards already [pass.decided-already]
cim.table "t" rows 6 cols 4 bits 8 data @t.int scales @t.scales
cim.shards @t slices 2 blocks <[[0, 6, 0, 4]]>
func.func @main() {
  func.return
}
