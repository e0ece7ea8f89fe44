// RUN: cimc opt %s -p canonicalize | filecheck %s
// Constants fold, identities go, equal nodes become one, unused ones vanish.

// CHECK-LABEL: @main
builtin.module attributes {onnx.opset = [":17"]} {
  func.func @main(%x: tensor<?x2xf32>) -> (tensor<?x2xf32>, tensor<2xi64>) attributes {onnx.inputs = ["x"], onnx.outputs = ["y", "c"], onnx.dims = [["batch", "2"]]} {
    %one = onnx.constant dense<[1, 2]> : tensor<2xi64> : tensor<2xi64>
    %two = onnx.constant dense<[3, 4]> : tensor<2xi64> : tensor<2xi64>
    // CHECK-DAG: dense<[4, 6]> : tensor<2xi64>
    %c = onnx.node "Add"(%one, %two) : (tensor<2xi64>, tensor<2xi64>) -> tensor<2xi64>
    // CHECK-NOT: Identity
    %i = onnx.node "Identity"(%x) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    // CHECK-NOT: Sigmoid
    %unused = onnx.node "Sigmoid"(%i) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    // CHECK: %[[A:.*]] = onnx.node "Relu"
    // CHECK-NOT: Relu
    %a = onnx.node "Relu"(%i) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    %b = onnx.node "Relu"(%x) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    // CHECK: onnx.node "Add"(%[[A]], %[[A]])
    %y = onnx.node "Add"(%a, %b) : (tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<?x2xf32>
    func.return %y, %c : tensor<?x2xf32>, tensor<2xi64>
  }
}
