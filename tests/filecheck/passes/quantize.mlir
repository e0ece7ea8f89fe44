// RUN: cimc opt %s -p 'quantize{weights=8 acts=8}' --target tsinghua28 --data %data --calib %calib | filecheck %s
// Layers and tables become integer matrices; what drives an array is quantised, what leaves it scaled back.
// DATA: w float32 [3, 2] 1.12 -0.5 0.25
// DATA: b float32 [2] 0.5
// DATA: t float32 [6, 4] 0.112 -0.05
// CALIB: x float32 [4, 3] 1.27 -0.5 0.25
// CALIB: ids int64 [4, 2] 0 3 5

// CHECK: cim.weights "w" rows 3 cols 2 bits 8 data @w.int scales @w.scales inputs 8 signed 1
// CHECK-NEXT: cim.table "t" rows 6 cols 4 bits 8 data @t.int scales @t.scales
// CHECK: @main
func.func @main(%x: tensor<?x3xf32>, %ids: tensor<?x2xi64>) -> (tensor<?x2xf32>, tensor<?x4xf32>) attributes {onnx.inputs = ["x", "ids"], onnx.outputs = ["y", "e"]} {
  // CHECK: cim.quantize %{{.*}} scale {{.*}} bits 8 : tensor<?x3xf32> -> tensor<?x3xi8>
  // CHECK-NEXT: cim.mvm @w %{{.*}} : tensor<?x3xi8> -> tensor<?x2xi32>
  // CHECK-NEXT: cim.dequantize %{{.*}} factors @w.factors bias @b
  // CHECK-NOT: rec.linear
  %y = rec.linear %x weight @w bias @b units 2 : tensor<?x3xf32> -> tensor<?x2xf32>
  // CHECK: cim.lookup @t "sum" "fixed" %{{.*}} scale 1.000000e-03 dim 4
  // CHECK-NOT: rec.embedding_bag
  %e = rec.embedding_bag @t "sum" "fixed" %ids rows 6 dim 4 : tensor<?x2xi64> -> tensor<?x4xf32>
  func.return %y, %e : tensor<?x2xf32>, tensor<?x4xf32>
}
