// RUN: cimc opt %s -p 'convert-precision' | filecheck %s
// Inputs and outputs keep their types.

// CHECK: onnx.node "Cast"({{.*}}) {to = 1 : i64} marks {helper}
// CHECK: onnx.node "Relu"({{.*}}) : (tensor<?x2xf32>) -> tensor<?x2xf32>
// CHECK: onnx.node "Cast"({{.*}}) {to = 10 : i64} marks {helper}
builtin.module attributes {onnx.opset = [":18", "com.microsoft:1"]} {
  func.func @main(%x: tensor<?x2xf16>) -> (tensor<?x2xf16>) attributes {onnx.inputs = ["x"], onnx.outputs = ["y"], onnx.dims = [["batch", "2"]]} {
    %y = onnx.node "Relu"(%x) : (tensor<?x2xf16>) -> tensor<?x2xf16>
    func.return %y : tensor<?x2xf16>
  }
}
