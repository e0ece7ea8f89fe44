// RUN: cimc opt %s -p lower --target tsinghua28 --data %data 2>&1 | filecheck %s
// The program is built of the IR and verified; the IR stays as it is.
// DATA: w.int int8 [6, 4] 1 -2 3
// DATA: f float32 [4] 0.5

// CHECK: the program that 'lower' built is not kept
// CHECK: cim.placement @w blocks <[[9, 3, 0]]>
cim.weights "w" rows 6 cols 4 bits 8 data @w.int scales @w.scales inputs 8 signed 1
cim.shards @w slices 2 blocks <[[0, 6, 0, 4]]>
cim.adc @w "clip-free" steps <[[[2, 2, 2, 2], [2, 2, 2, 2]]]> certified 0 of 8 bits <[0]>
cim.placement @w blocks <[[9, 3, 0]]>
func.func @main(%x: tensor<?x6xf32>) -> tensor<?x4xf32> attributes {onnx.inputs = ["x"], onnx.outputs = ["y"]} {
  %a = cim.load %x {cim.at = 0 : i64, cim.stage = 0 : i64, cim.tile = 9 : i64} : tensor<?x6xf32> -> tensor<?x6xf32>
  %q = cim.quantize %a scale 0.5 bits 8 {cim.at = 32 : i64, cim.stage = 0 : i64, cim.tile = 9 : i64} : tensor<?x6xf32> -> tensor<?x6xi8>
  %m = cim.mvm @w %q first 0 count 1 {cim.at = 64 : i64, cim.stage = 0 : i64, cim.tile = 9 : i64} : tensor<?x6xi8> -> tensor<?x4xi32>
  %y = cim.dequantize %m factors @f {cim.at = 96 : i64, cim.stage = 0 : i64, cim.tile = 9 : i64} : tensor<?x4xi32> -> tensor<?x4xf32>
  func.return %y : tensor<?x4xf32>
}
