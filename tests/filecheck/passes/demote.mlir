// RUN: cimc opt %s -p 'recognise,demote' | filecheck %s
// An activation alone is not worth the trip.

// CHECK-NOT: rec.unary
// CHECK: onnx.node "Relu"({{.*}}) marks {misses = {{\[\[}}"placement", "nothing beside it needs the chip's arrays"]]
builtin.module attributes {onnx.opset = [":18", "com.microsoft:1"]} {
  func.func @main(%x: tensor<?x2xf32>) -> (tensor<?x2xf32>) attributes {onnx.inputs = ["x"], onnx.outputs = ["y"], onnx.dims = [["batch", "2"]]} {
    %y = onnx.node "Relu"(%x) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    func.return %y : tensor<?x2xf32>
  }
}
