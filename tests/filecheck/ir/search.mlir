// RUN: cimc opt %s | filecheck %s
// RUN: cimc opt %s | cimc opt - | filecheck %s
// Searches of a corpus: in floats, whole, in shards whose lists are merged, and what is taken out of a list.

// CHECK: cim.corpus "c" items 500 dim 16 bits 8 data @c.int scales @c.scales inputs 8 signed 1 row_scales @f row_biases @b
cim.corpus "c" items 500 dim 16 bits 8 data @c.int scales @c.scales inputs 8 signed 1 row_scales @f row_biases @b
// CHECK-NEXT: cim.shards @c slices 2 stack 2 blocks <[[0, 256, 0, 16], [256, 244, 0, 16]]>
cim.shards @c slices 2 stack 2 blocks <[[0, 256, 0, 16], [256, 244, 0, 16]]>
func.func @main(%x: tensor<?x16xf32>) -> (tensor<?x10xf32>, tensor<?x10xi64>) {
  // CHECK: rec.search @items %{{.*}} k 10 items 500 transposed 1 bias @bias : tensor<?x16xf32> -> tensor<?x20xi32>
  %f = rec.search @items %x k 10 items 500 transposed 1 bias @bias : tensor<?x16xf32> -> tensor<?x20xi32>
  %q = cim.quantize %x scale 0.5 bits 8 : tensor<?x16xf32> -> tensor<?x16xi8>
  // CHECK: cim.search @c %{{.*}} k 10 : tensor<?x16xi8> -> tensor<?x20xi32>
  %w = cim.search @c %q k 10 : tensor<?x16xi8> -> tensor<?x20xi32>
  // CHECK: cim.search @c %{{.*}} k 10 first 0 count 1 width 16 shift 3 : tensor<?x16xi8> -> tensor<?x20xi32>
  %a = cim.search @c %q k 10 first 0 count 1 width 16 shift 3 : tensor<?x16xi8> -> tensor<?x20xi32>
  %b = cim.search @c %q k 10 first 1 count 1 : tensor<?x16xi8> -> tensor<?x20xi32>
  // CHECK: cim.merge %{{.*}}, %{{.*}} : tensor<?x20xi32>, tensor<?x20xi32> -> tensor<?x20xi32>
  %m = cim.merge %a, %b : tensor<?x20xi32>, tensor<?x20xi32> -> tensor<?x20xi32>
  // CHECK: rec.hits "scores" %{{.*}} : tensor<?x20xi32> -> tensor<?x10xf32>
  %s = rec.hits "scores" %m : tensor<?x20xi32> -> tensor<?x10xf32>
  // CHECK: rec.hits "ids" %{{.*}} : tensor<?x20xi32> -> tensor<?x10xi64>
  %i = rec.hits "ids" %m : tensor<?x20xi32> -> tensor<?x10xi64>
  func.return %s, %i : tensor<?x10xf32>, tensor<?x10xi64>
}
