// RUN: cimc opt %s | filecheck %s
// Every kind of embedding bag, and the operations with attributes of their own.

// CHECK-LABEL: @main
func.func @main(%ids: tensor<?xi64>, %many: tensor<?xi64>, %offsets: tensor<?xi64>, %w: tensor<?xf32>, %x: tensor<?x4x8xf32>) -> tensor<?x6xf32> {
  // CHECK: rec.embedding_bag @t "sum" "fixed" %{{.*}} rows 9 dim 8 : tensor<?xi64> -> tensor<?x8xf32>
  %one = rec.embedding_bag @t "sum" "fixed" %ids rows 9 dim 8 : tensor<?xi64> -> tensor<?x8xf32>
  // CHECK: rec.embedding_bag @t "mean" "offsets_end" %{{.*}} offsets %{{.*}} : tensor<?xi64> rows 9 dim 8
  %mean = rec.embedding_bag @t "mean" "offsets_end" %many offsets %offsets : tensor<?xi64> rows 9 dim 8 : tensor<?xi64> -> tensor<?x8xf32>
  // CHECK: rec.embedding_bag @t "sum" "offsets" %{{.*}} offsets %{{.*}} : tensor<?xi64> weights %{{.*}} : tensor<?xf32>
  %sum = rec.embedding_bag @t "sum" "offsets" %many offsets %offsets : tensor<?xi64> weights %w : tensor<?xf32> rows 9 dim 8 : tensor<?xi64> -> tensor<?x8xf32>
  // CHECK: rec.constant @c : tensor<1x8xf32>
  %c = rec.constant @c : tensor<1x8xf32>
  // CHECK: rec.binary "add" %{{.*}}, %{{.*}} : tensor<?x8xf32>, tensor<1x8xf32> -> tensor<?x8xf32>
  %y = rec.binary "add" %one, %c : tensor<?x8xf32>, tensor<1x8xf32> -> tensor<?x8xf32>
  // CHECK: rec.unary "clip" %{{.*}} alpha -1.000000e+00 : f64 beta 1.000000e+00 : f64
  %z = rec.unary "clip" %y alpha -1.0 : f64 beta 1.0 : f64 : tensor<?x8xf32> -> tensor<?x8xf32>
  // CHECK: rec.dot_interaction %{{.*}} {lhs = array<i64: 1, 2, 2, 3, 3, 3>, rhs = array<i64: 0, 0, 1, 0, 1, 2>}
  %d = rec.dot_interaction %x {lhs = array<i64: 1, 2, 2, 3, 3, 3>, rhs = array<i64: 0, 0, 1, 0, 1, 2>} : tensor<?x4x8xf32> -> tensor<?x6xf32>
  // CHECK: rec.linear %{{.*}} weight @w bias @b units 6 : tensor<?x8xf32> -> tensor<?x6xf32>
  %l = rec.linear %z weight @w bias @b units 6 : tensor<?x8xf32> -> tensor<?x6xf32>
  func.return %d : tensor<?x6xf32>
}
