// RUN: cimc opt %s -p 'convert-precision' | filecheck %s
// What stays on the host whole keeps its arithmetic.

// CHECK: onnx.node "Relu"({{.*}}) : (tensor<?x2xf16>) -> tensor<?x2xf16>
builtin.module attributes {onnx.opset = [":18", "com.microsoft:1"]} {
  func.func @main(%x: tensor<?x2xf16>) -> (tensor<?x2xf16>) attributes {onnx.inputs = ["x"], onnx.outputs = ["y"], onnx.dims = [["batch", "2"]], onnx.offload = "host"} {
    %y = onnx.node "Relu"(%x) : (tensor<?x2xf16>) -> tensor<?x2xf16>
    func.return %y : tensor<?x2xf16>
  }
}
