// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {ICollateralRegistry} from "../../contracts/attestation/ICollateralRegistry.sol";
import {IQuoteVerifier, Verdict} from "../../contracts/attestation/IQuoteVerifier.sol";
import {TcbStatus} from "../../contracts/attestation/TcbStatus.sol";
import {TeeSignerRegistry} from "../../contracts/attestation/TeeSignerRegistry.sol";
import {TestBase, vm} from "./TestBase.sol";

/// Believes any quote, which is its verdict: what the registry does with verdicts is what is tried here.
contract Believer is IQuoteVerifier {
    bool public constant development = true;
    ICollateralRegistry public constant collateral = ICollateralRegistry(address(0));
    bool private _suffices = true;

    function setSuffices(bool suffices) external {
        _suffices = suffices;
    }

    function verify(bytes calldata quote) external pure returns (Verdict memory) {
        return abi.decode(quote, (Verdict));
    }

    function standingOf(uint40, bytes16) external view returns (TcbStatus status, uint16 evaluation, uint40 until) {
        return (_suffices ? TcbStatus.UpToDate : TcbStatus.OutOfDate, 18, type(uint40).max);
    }
}

/// Does what governance, guardian, signers and anybody can do, with few signers and few measurements.
contract Attesters is TestBase {
    uint256 private constant SIGNERS = 4;
    uint256 private constant MEASUREMENTS = 3;

    TeeSignerRegistry public immutable registry;
    Believer private immutable _verifier;
    uint256 private _now = 1_800_000_000;
    uint256 private _block = 1000;

    /// What has to hold of each signer, by a plain account of what happened.
    struct Expected {
        bytes32 measurement;
        uint256 registeredAt;
        uint256 collateralUntil;
        bool revoked;
        bool ended;
    }
    mapping(address => Expected) private _expected;

    constructor() {
        vm.warp(_now);
        vm.roll(_block);
        AccessManager manager = new AccessManager(address(this));
        _verifier = new Believer();
        bytes memory initialization = abi.encodeCall(
            TeeSignerRegistry.initialize,
            (address(manager), address(_verifier), 7 days, 17, new bytes32[](0))
        );
        registry = TeeSignerRegistry(address(new ERC1967Proxy(address(new TeeSignerRegistry()), initialization)));
    }

    function signer(uint256 seed) public pure returns (address) {
        return address(uint160(0x1000 + (seed % SIGNERS)));
    }

    function expected(address who) external view returns (Expected memory) {
        return _expected[who];
    }

    function register(uint256 who, uint256 what, uint32 collateralFor) external {
        _pass(1);
        address account = signer(who);
        bytes32 measurement = _measurement(what);
        if (!registry.isAllowed(measurement) || _expected[account].revoked) return;
        uint256 collateralUntil = _now + (collateralFor % 14 days);
        Verdict memory verdict = Verdict({
            status: TcbStatus.UpToDate,
            evaluation: 18,
            until: uint40(collateralUntil),
            attestationKey: 1,
            pck: bytes20(uint160(1)),
            tcbSvn: 0,
            measurement: measurement,
            reportData: registry.reportDataOf(account, 0, 0),
            freshness: blockhash(_block - 1)
        });
        registry.register(abi.encode(verdict), account, 0, 0, _block - 1);
        _expected[account] = Expected(measurement, _now, collateralUntil, false, false);
    }

    function revoke(uint256 who, bool bySelf) external {
        address account = signer(who);
        if (_expected[account].revoked) return;
        if (bySelf) vm.prank(account);
        registry.revoke(account);
        _expected[account].revoked = true;
    }

    function recheck(uint256 who, bool suffices) external {
        address account = signer(who);
        Expected storage state = _expected[account];
        if (suffices || state.registeredAt == 0 || state.revoked || state.ended) return;
        _verifier.setSuffices(false);
        registry.recheck(account);
        _verifier.setSuffices(true);
        state.ended = true;
    }

    function allow(uint256 what) external {
        bytes32 measurement = _measurement(what);
        if (!registry.isAllowed(measurement)) registry.allowMeasurement(measurement);
    }

    function remove(uint256 what) external {
        bytes32 measurement = _measurement(what);
        if (!registry.isAllowed(measurement)) return;
        registry.removeMeasurement(measurement);
        for (uint256 i; i < SIGNERS; ++i)
            if (_expected[signer(i)].measurement == measurement) _expected[signer(i)].ended = true;
    }

    function pass(uint16 time) external {
        _pass(time);
    }

    function _pass(uint256 time) private {
        vm.warp(_now += time);
        vm.roll(++_block);
    }

    function _measurement(uint256 seed) private pure returns (bytes32) {
        return bytes32(1 + (seed % MEASUREMENTS));
    }
}

contract AttestationInvariants is TestBase {
    Attesters private _attesters;

    function setUp() public {
        _attesters = new Attesters();
        targetContract(address(_attesters));
    }

    function invariant_registrations() public view {
        for (uint256 i; i < 4; ++i) {
            address who = _attesters.signer(i);
            Attesters.Expected memory expected = _attesters.expected(who);
            uint256 until = _attesters.registry().attestedUntil(who);
            vm.assertLe(until, expected.registeredAt + 7 days, "I43: longer than a week");
            vm.assertLe(until, expected.collateralUntil, "I43: longer than its collateral");
            vm.assertTrue(!expected.ended || until == 0, "I44: not allowed without interruption");
            vm.assertTrue(!expected.revoked || until == 0, "I45: a revoked signer counts");
            bool lasts = expected.registeredAt != 0 && !expected.ended && !expected.revoked;
            uint256 week = expected.registeredAt + 7 days;
            uint256 due = week < expected.collateralUntil ? week : expected.collateralUntil;
            vm.assertEq(until, lasts ? due : 0, "I43: another end than the earliest");
        }
    }
}
