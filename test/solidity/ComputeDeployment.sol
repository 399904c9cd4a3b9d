// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {ServiceParams} from "../../contracts/compute/IInferenceServing.sol";
import {InferenceServing} from "../../contracts/compute/InferenceServing.sol";
import {LedgerManager} from "../../contracts/compute/LedgerManager.sol";
import {Bonds} from "../../contracts/stake/Bonds.sol";
import {TeeSignerRegistryDouble} from "../doubles/TeeSignerRegistryDouble.sol";
import {vm} from "./TestBase.sol";

/// The ledger and inference behind proxies, governed by the inheriting contract; a registry that says what it is told.
abstract contract ComputeDeployment {
    uint256 internal constant LOCK_TIME = 1 days;
    uint256 internal constant STAKE = 100 ether;
    string internal constant INFERENCE = "inference-v1.0";

    AccessManager public manager;
    LedgerManager public ledger;
    InferenceServing public serving;
    Bonds public bonds;
    TeeSignerRegistryDouble public registry;

    function _deploy(bool attested) internal {
        manager = new AccessManager(address(this));
        bonds = new Bonds();
        registry = attested ? new TeeSignerRegistryDouble() : TeeSignerRegistryDouble(address(0));
        address authority = address(manager);
        ledger = LedgerManager(
            payable(_proxy(address(new LedgerManager()), abi.encodeCall(LedgerManager.initialize, (authority))))
        );
        serving = InferenceServing(
            payable(
                _proxy(
                    address(new InferenceServing(address(registry), address(bonds), address(0xDD))),
                    abi.encodeCall(InferenceServing.initialize, (authority, address(ledger), LOCK_TIME))
                )
            )
        );
        ledger.registerService("inference", "v1.0", address(serving), "");
    }

    /// Offers its service, or changes it.
    function _offer(address provider, address signer, uint256 inputPrice, uint256 outputPrice, uint256 value) internal {
        if (value != 0) vm.deal(provider, provider.balance + value);
        vm.prank(provider);
        serving.addOrUpdateService{value: value}(
            ServiceParams("chatbot", "url", "model", "TeeML", inputPrice, outputPrice, "", signer)
        );
    }

    /// Puts money of `user` into the ledger.
    function _pay(address user, uint256 amount) internal {
        vm.deal(user, user.balance + amount);
        vm.prank(user);
        ledger.depositFund{value: amount}();
    }

    function _item(
        address user,
        uint40 inputUnits,
        uint40 outputUnits,
        uint16 version
    ) internal pure returns (bytes32) {
        return bytes32(abi.encodePacked(user, inputUnits, outputUnits, version));
    }

    function _sign(
        uint256 key,
        address provider,
        uint64 nonce,
        bytes32[] memory items
    ) internal view returns (bytes memory) {
        bytes32 digest = serving.batchDigest(provider, nonce, bytes32(0), keccak256(abi.encodePacked(items)));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function _proxy(address implementation, bytes memory call) private returns (address) {
        return address(new ERC1967Proxy(implementation, call));
    }
}

/// User or provider, or both: calls again whatever it was told to when it is paid.
contract Greedy {
    address public target;
    uint256 public gained;
    bytes[] private _again;

    receive() external payable {
        for (uint256 i = 0; i < _again.length; ++i) {
            (bool success, ) = target.call(_again[i]);
            if (success) ++gained;
        }
    }

    function plan(address target_, bytes[] calldata again) external {
        target = target_;
        for (uint256 i = 0; i < again.length; ++i) _again.push(again[i]);
    }
}
