// RUN: cimc opt %s -p schedule --target tsinghua28 | filecheck %s
// A product runs where its blocks are; what it needs is loaded there as integers, and every value gets an address.

cim.weights "w" rows 6 cols 4 bits 8 data @w.int scales @w.scales inputs 8 signed 1
cim.shards @w slices 2 blocks <[[0, 6, 0, 4]]>
cim.adc @w "clip-free" steps <[[[1], [1]]]> certified 0 of 8 bits <[0]>
cim.placement @w blocks <[[9, 3, 0]]>
func.func @main(%x: tensor<?x6xf32>) -> tensor<?x4xf32> attributes {onnx.inputs = ["x"], onnx.outputs = ["y"]} {
  // CHECK: cim.load_quantized %{{.*}} scale {{.*}} bits 8 {cim.at = {{[0-9]+}} : i64, cim.stage = 0 : i64, cim.tile = 9 : i64}
  %q = cim.quantize %x scale 0.5 bits 8 : tensor<?x6xf32> -> tensor<?x6xi8>
  // CHECK-NEXT: cim.mvm @w {{.*}}cim.tile = 9
  %m = cim.mvm @w %q first 0 count 1 : tensor<?x6xi8> -> tensor<?x4xi32>
  // CHECK-NEXT: cim.dequantize {{.*}}cim.tile = 9
  %y = cim.dequantize %m factors @f : tensor<?x4xi32> -> tensor<?x4xf32>
  func.return %y : tensor<?x4xf32>
}
