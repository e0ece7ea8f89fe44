// RUN: cimc opt %s -p 'batch-major' | filecheck %s
// A layer on the rows of all requests becomes one on the rows of each.

// CHECK: onnx.node "MatMul"({{.*}}) : (tensor<?x{{.*}}3x2xf32>, tensor<2x2xf32>) -> tensor<?x{{.*}}3x2xf32>
builtin.module attributes {onnx.opset = [":18", "com.microsoft:1"]} {
  func.func @main(%x: tensor<?x3x2xf32>) -> (tensor<?x3x2xf32>) attributes {onnx.inputs = ["x"], onnx.outputs = ["y"], onnx.dims = [["batch", "3", "2"]]} {
    %flat = onnx.constant dense<[-1, 2]> : tensor<2xi64> : tensor<2xi64>
    %back = onnx.constant dense<[-1, 3, 2]> : tensor<3xi64> : tensor<3xi64>
    %w = onnx.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32> : tensor<2x2xf32>
    %r = onnx.node "Reshape"(%x, %flat) : (tensor<?x3x2xf32>, tensor<2xi64>) -> tensor<?x2xf32>
    %h = onnx.node "MatMul"(%r, %w) : (tensor<?x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    %y = onnx.node "Reshape"(%h, %back) : (tensor<?x2xf32>, tensor<3xi64>) -> tensor<?x3x2xf32>
    func.return %y : tensor<?x3x2xf32>
  }
}
