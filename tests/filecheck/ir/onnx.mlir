// RUN: cimc opt %s | filecheck %s
// The onnx dialect reads back what it prints: nodes, bodies, constants, absent inputs.

// CHECK: func.func @main(%{{.*}}: tensor<?x3xf32>, %{{.*}}: tensor<i64>)
func.func @main(%x: tensor<?x3xf32>, %n: tensor<i64>) -> tensor<?x2xf32> {
  // CHECK: onnx.initializer @"fc:w/0" digest "0123456789abcdef" : tensor<100x2xf32>
  %big = onnx.initializer @"fc:w/0" digest "0123456789abcdef" : tensor<100x2xf32>
  // CHECK: onnx.constant dense<[1, 2]> : tensor<2xi64> : tensor<2xi64>
  %c = onnx.constant dense<[1, 2]> : tensor<2xi64> : tensor<2xi64>
  // CHECK: onnx.none : !onnx.none
  %none = onnx.none : !onnx.none
  // CHECK: onnx.node "Gemm"(%{{.*}}, %{{.*}}, %{{.*}}) {alpha = 5.000000e-01 : f32, transB = 1 : i64}
  %y = onnx.node "Gemm"(%x, %big, %none) {alpha = 5.000000e-01 : f32, transB = 1 : i64} : (tensor<?x3xf32>, tensor<100x2xf32>, !onnx.none) -> tensor<?x2xf32>
  // CHECK: onnx.node "Loop"(%{{.*}}, %{{.*}}, %{{.*}})
  // CHECK: onnx.yield %{{.*}}, %{{.*}}
  %z = onnx.node "Loop"(%n, %none, %y) : (tensor<i64>, !onnx.none, tensor<?x2xf32>) -> tensor<?x2xf32> {
  ^bb0(%i: tensor<i64>, %go: tensor<i1>, %carried: tensor<?x2xf32>):
    %next = onnx.node "Fancy" in "my.domain" (%carried) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    onnx.yield %go, %next : tensor<i1>, tensor<?x2xf32>
  }
  func.return %z : tensor<?x2xf32>
}
