// RUN: { ! cimc opt %s -p lower --target tsinghua28; } 2>&1 | filecheck %s
// CHECK: cim.mvm has no cim.stage yet, which pass 'schedule' decides [pass.needs-schedule]
cim.weights "w" rows 6 cols 4 bits 8 data @w.int scales @w.scales inputs 8 signed 1
cim.shards @w slices 2 blocks <[[0, 6, 0, 4]]>
func.func @main(%x: tensor<?x6xi8>) -> tensor<?x4xi32> attributes {onnx.inputs = ["x"], onnx.outputs = ["y"]} {
  %m = cim.mvm @w %x first 0 count 1 : tensor<?x6xi8> -> tensor<?x4xi32>
  func.return %m : tensor<?x4xi32>
}
// -----
// RUN: { ! cimc opt %s -p lower --target tsinghua28 --data %data; } 2>&1 | filecheck %s
// CHECK: matrix @t has no cim.placement yet, which pass 'place' decides [pass.needs-place]
// DATA: t.int int8 [6, 4] 1
cim.table "t" rows 6 cols 4 bits 8 data @t.int scales @t.scales
cim.shards @t slices 2 blocks <[[0, 6, 0, 4]]>
cim.pooling @t rows 1 step 1
func.func @main() attributes {onnx.inputs = [], onnx.outputs = []} {
  func.return
}
