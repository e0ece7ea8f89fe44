// RUN: cimc opt %s -p 'canonicalize,recognise,demote,outline-host' | filecheck %s
// A layer, its activation and a lookup are recognised; what is not request-wise goes to the host.

// CHECK-LABEL: @main
builtin.module attributes {onnx.opset = [":17"]} {
  func.func @main(%x: tensor<?x2xf32>, %ids: tensor<?xi64>) -> (tensor<?x3xf32>, tensor<?x2xf32>, tensor<?x3xf32>) attributes {onnx.inputs = ["x", "ids"], onnx.outputs = ["y", "e", "s"], onnx.dims = [["batch", "2"], ["batch"]]} {
    %w = onnx.constant dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]> : tensor<3x2xf32> : tensor<3x2xf32>
    %b = onnx.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<3xf32>
    // CHECK-DAG: rec.linear %{{.*}} weight @{{.*}} bias @{{.*}} units 3 : tensor<?x2xf32> -> tensor<?x3xf32>
    %h = onnx.node "Gemm"(%x, %w, %b) {transB = 1 : i64} : (tensor<?x2xf32>, tensor<3x2xf32>, tensor<3xf32>) -> tensor<?x3xf32>
    // CHECK-DAG: rec.unary "relu"
    %y = onnx.node "Relu"(%h) : (tensor<?x3xf32>) -> tensor<?x3xf32>
    // CHECK-DAG: rec.embedding_bag @{{.*}} "none" "fixed" %{{.*}} rows 3 dim 2 : tensor<?xi64> -> tensor<?x2xf32>
    %e = onnx.node "Gather"(%w, %ids) {axis = 0 : i64} : (tensor<3x2xf32>, tensor<?xi64>) -> tensor<?x2xf32>
    // CHECK: rec.host
    // CHECK: onnx.node "CumSum"
    %axis = onnx.constant dense<0> : tensor<i64> : tensor<i64>
    %s = onnx.node "CumSum"(%y, %axis) : (tensor<?x3xf32>, tensor<i64>) -> tensor<?x3xf32>
    func.return %y, %e, %s : tensor<?x3xf32>, tensor<?x2xf32>, tensor<?x3xf32>
  }
}
