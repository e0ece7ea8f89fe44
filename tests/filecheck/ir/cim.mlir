// RUN: cimc opt %s | filecheck %s
// Matrices with and without blocks, and quantised operations with their places.

// CHECK: cim.weights "w" rows 5 cols 17 bits 8 data @w.int scales @w.scales inputs 8 signed 1
cim.weights "w" rows 5 cols 17 bits 8 data @w.int scales @w.scales inputs 8 signed 1
// CHECK: cim.table "t" rows 99 cols 4 bits 4 data @t.int scales @t.scales
cim.table "t" rows 99 cols 4 bits 4 data @t.int scales @t.scales
func.func @main(%x: tensor<?x5xf32>, %ids: tensor<?x3xi64>) -> tensor<?x17xf32> {
  // CHECK: cim.load %{{.*}} {cim.tile = 3 : i64, cim.at = 0 : i64} : tensor<?x5xf32>
  %a = cim.load %x {cim.tile = 3 : i64, cim.at = 0 : i64} : tensor<?x5xf32> -> tensor<?x5xf32>
  // CHECK: cim.quantize %{{.*}} scale 5.000000e-01 bits 8 : tensor<?x5xf32> -> tensor<?x5xi8>
  %q = cim.quantize %a scale 0.5 bits 8 : tensor<?x5xf32> -> tensor<?x5xi8>
  // CHECK: cim.transfer %{{.*}} from 3 to 7 : tensor<?x5xi8> -> tensor<?x5xi8>
  %s = cim.transfer %q from 3 to 7 : tensor<?x5xi8> -> tensor<?x5xi8>
  // CHECK: cim.mvm @w %{{.*}} first 0 count 2 : tensor<?x5xi8> -> tensor<?x17xi32>
  %m = cim.mvm @w %s first 0 count 2 : tensor<?x5xi8> -> tensor<?x17xi32>
  // CHECK: cim.add %{{.*}}, %{{.*}} : tensor<?x17xi32>, tensor<?x17xi32> -> tensor<?x17xi32>
  %n = cim.add %m, %m : tensor<?x17xi32>, tensor<?x17xi32> -> tensor<?x17xi32>
  // CHECK: cim.dequantize %{{.*}} factors @f bias @b : tensor<?x17xi32> -> tensor<?x17xf32>
  %y = cim.dequantize %n factors @f bias @b : tensor<?x17xi32> -> tensor<?x17xf32>
  // CHECK: cim.lookup @t "mean" "fixed" %{{.*}} scale 2.500000e-01 dim 4 : tensor<?x3xi64> -> tensor<?x4xf32>
  %l = cim.lookup @t "mean" "fixed" %ids scale 0.25 dim 4 : tensor<?x3xi64> -> tensor<?x4xf32>
  func.return %y : tensor<?x17xf32>
}
