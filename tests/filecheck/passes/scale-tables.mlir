// RUN: cimc opt %s -p 'scale-tables,canonicalize{max_fold=0}' | filecheck %s
// Rows are scaled before they are gathered.

// CHECK: onnx.node "Cast"
// CHECK: %[[T:.*]] = onnx.node "Mul"
// CHECK: onnx.node "Gather"(%[[T]], %ids)
// CHECK-NOT: onnx.node
builtin.module attributes {onnx.opset = [":18", "com.microsoft:1"]} {
  func.func @main(%ids: tensor<?xi64>) -> (tensor<?x2xf32>) attributes {onnx.inputs = ["ids"], onnx.outputs = ["y"], onnx.dims = [["batch"]]} {
    %t = onnx.constant dense<[[1, 2], [3, 4]]> : tensor<2x2xui8> : tensor<2x2xui8>
    %s = onnx.constant dense<[[0.5], [0.25]]> : tensor<2x1xf32> : tensor<2x1xf32>
    %r = onnx.node "Gather"(%t, %ids) : (tensor<2x2xui8>, tensor<?xi64>) -> tensor<?x2xui8>
    %c = onnx.node "Cast"(%r) {to = 1 : i64} : (tensor<?x2xui8>) -> tensor<?x2xf32>
    %f = onnx.node "Gather"(%s, %ids) : (tensor<2x1xf32>, tensor<?xi64>) -> tensor<?x1xf32>
    %y = onnx.node "Mul"(%c, %f) : (tensor<?x2xf32>, tensor<?x1xf32>) -> tensor<?x2xf32>
    func.return %y : tensor<?x2xf32>
  }
}
